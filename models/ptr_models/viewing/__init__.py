# SPDX-License-Identifier: Apache-2.0
"""Looking at bags: as videos, and in Rerun."""
