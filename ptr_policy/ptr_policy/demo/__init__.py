# SPDX-License-Identifier: Apache-2.0
"""The whole path once, in simulation: record, fine-tune, deploy, evaluate, report."""
