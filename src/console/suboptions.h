/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"
#include "telnet/vmware.h"

/*
 * Suboptions of VMware's option 232: what a link's host is asked, and what it answers. The link is unidentified until DO-PROXY,
 * a UUID and VM-NAME have been received, in any order.
 */

/* Must be called when option 232 has been agreed on: asks everything that must be known. Returns: 0 or a negative errno. */
int link_ask(Link *l);

/* Asks for a UUID. Returns: 0 or a negative errno. */
int link_ask_uuid(Link *l, VMwareCode question);

/* Handles a suboption of the host. Returns: 0, a verdict, or a negative errno. */
int link_take_suboption(Link *l, const VMwareSuboption *s);

/* Gives the VM's name to the link's console. */
void link_rename_console(Link *l);

/* Handler of the timeout `question` */
void link_question_elapsed(Timeout *t);
