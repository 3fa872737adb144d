# SPDX-License-Identifier: Apache-2.0
"""Bags into the data sets of other projects, and back."""
