# SPDX-License-Identifier: Apache-2.0
"""The gate that every command passes: arbitration between sources, safety limits, and reasons for each change."""
