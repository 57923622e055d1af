# SPDX-License-Identifier: LGPL-2.1-or-later

"""The command line of the programs in this folder, and the check whether they can run here"""

import argparse
import os
import sys

import isolation

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap  # pylint: disable=wrong-import-position


def argument_parser(description):
    parser = argparse.ArgumentParser(description=description, epilog="Needs root.")
    parser.add_argument("release", metavar="RELEASE", choices=["bookworm", "trixie"], help="bookworm or trixie")
    parser.add_argument("words", metavar="WORD", nargs="*",
                        help="run only the scenarios whose class or name contains one of these words")
    return parser


def skip_where_impossible():
    why = isolation.why_impossible()
    if why:
        tap.unavailable(why)
