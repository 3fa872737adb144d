# SPDX-License-Identifier: Apache-2.0
"""Evaluation: recorded trials from seeded starts, with confidence intervals."""
