/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "varlink-connection.h"

/* org.varlink.service: the interface that every Varlink service has, with information about the service. */
extern const VarlinkInterface varlink_service;
