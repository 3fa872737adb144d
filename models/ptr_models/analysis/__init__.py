# SPDX-License-Identifier: Apache-2.0
"""Examine what was learned: values along demonstrations, checkpoint choice, figures for reports."""
