# SPDX-License-Identifier: Apache-2.0
"""`ptr calibrate`: what of a robot has to be measured, and where that is kept."""
