/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"
#include "telnet/vmware.h"

/*
 * Suboptions of VMware's option 232: what a link's host is asked, and what it says. Until DO-PROXY, a UUID and VM-NAME have
 * come, in whatever order, the link is unidentified.
 */

/* Option 232 is in force: asks what has to be known. Returns: 0 or a negative errno. */
int link_ask(Link *l);

/* Asks for a UUID. Returns: 0 or a negative errno. */
int link_ask_uuid(Link *l, VMwareCode question);

/* Handles what the host says. Returns: 0, a verdict, or a negative errno. */
int link_take_suboption(Link *l, const VMwareSuboption *s);

/* Gives its console the VM's name. */
void link_rename_console(Link *l);

/* Handler of the timeout `question` */
void link_question_elapsed(Timeout *t);
