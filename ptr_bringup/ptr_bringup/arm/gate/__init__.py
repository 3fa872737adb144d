# SPDX-License-Identifier: Apache-2.0
"""The gate that every command passes: who is in command, what the limits allow, and why not all of it."""
