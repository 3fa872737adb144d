# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of other projects into bags of this one."""
