# SPDX-License-Identifier: Apache-2.0
"""The motors: their readings, their health, and how they are switched, rebooted and recovered."""
