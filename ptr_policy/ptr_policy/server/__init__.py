# SPDX-License-Identifier: Apache-2.0
"""The policy server: observations in, commands out, at the control rate."""
