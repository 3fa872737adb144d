# SPDX-License-Identifier: Apache-2.0
"""Input devices: each turns what a human does into a `Reading`."""
