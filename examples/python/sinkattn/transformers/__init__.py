"""(to come) SPDX-License-Identifier: MIT"""
