# SPDX-License-Identifier: Apache-2.0
"""The policy: its server at control rate, and its evaluation."""
