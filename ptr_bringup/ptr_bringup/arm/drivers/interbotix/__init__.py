# SPDX-License-Identifier: Apache-2.0
"""The driver of the real WidowX 250: Interbotix's node xs_sdk, spoken to over its topics and services.

xs_sdk has no watchdog, no clamp and no guard against numbers that are none, and it publishes made-up positions for
motors that don't answer. What that asks for is in this package, one idea a module; `driver` puts it together.
"""
