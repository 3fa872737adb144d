# SPDX-License-Identifier: Apache-2.0
"""Run trained policies, and external policies in their place."""
