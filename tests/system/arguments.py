# SPDX-License-Identifier: LGPL-2.1-or-later

"""What the programs of this folder are started with, and where they run"""

import argparse
import os
import sys

import isolation

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap  # pylint: disable=wrong-import-position


def argument_parser(description):
    parser = argparse.ArgumentParser(description=description, epilog="Only root can do this.")
    parser.add_argument("release", metavar="RELEASE", choices=["bookworm", "trixie"], help="bookworm or trixie")
    parser.add_argument("words", metavar="WORD", nargs="*",
                        help="run only those scenarios whose class or name contains one of these words")
    return parser


def skip_where_impossible():
    why = isolation.why_impossible()
    if why:
        tap.unavailable(why)
