# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests work with: a laboratory, a site, SSH servers, the table of cases, and plugins for Ansible."""
