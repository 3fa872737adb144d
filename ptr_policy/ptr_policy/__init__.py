# SPDX-License-Identifier: Apache-2.0
"""Policies: the policy server, evaluation, bulk simulation, the demo and the table of methods."""
