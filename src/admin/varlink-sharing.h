/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "varlink-connection.h"

/*
 * The methods of org.vspc.Concentrator for people who share a console, see console/sharing.h.
 */
void varlink_method_set_access(VarlinkConnection *c, const VarlinkCall *call);
void varlink_method_disconnect(VarlinkConnection *c, const VarlinkCall *call);
void varlink_method_say(VarlinkConnection *c, const VarlinkCall *call);
