# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Interbotix's node xs_sdk: its topics and services, with the simulated arm instead of motors."""
