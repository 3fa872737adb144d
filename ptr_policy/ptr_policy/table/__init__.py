# SPDX-License-Identifier: Apache-2.0
"""The result table: every method on the same data, fine-tuning demonstrations and trials, in simulation."""
