# SPDX-License-Identifier: Apache-2.0
"""Evaluation: recorded trials from seeded starts, and honest intervals."""
