# SPDX-License-Identifier: Apache-2.0
"""View bags, as videos or in Rerun."""
