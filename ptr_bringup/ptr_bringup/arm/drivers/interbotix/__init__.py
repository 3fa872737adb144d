# SPDX-License-Identifier: Apache-2.0
"""The driver of the real WidowX 250, using the topics and services of Interbotix's node xs_sdk.

xs_sdk has no watchdog and no limits, accepts NaN, and publishes made-up positions for motors that don't answer. This
package adds what is missing, one concern per module; `driver` combines them.
"""
