# SPDX-License-Identifier: Apache-2.0
"""The complete workflow in simulation: record, fine-tune, deploy, evaluate, report."""
