# SPDX-License-Identifier: Apache-2.0
"""A stand-in of Interbotix's node xs_sdk: its topics and services, with the simulated arm in place of the motors."""
