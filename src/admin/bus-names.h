/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names on D-Bus. org.vspc.Concentrator1(5) describes ours; the policies for them are in dbus/. */
#define BUS_NAME "org.vspc.Concentrator1"
#define BUS_PATH "/org/vspc/Concentrator1"
#define BUS_VM_PATH BUS_PATH "/vm" /* above the objects of VMs */

#define BUS_MANAGER_INTERFACE BUS_NAME ".Manager"
#define BUS_VM_INTERFACE BUS_NAME ".VM"

#define BUS_ERROR_NO_SUCH_VM BUS_NAME ".NoSuchVM"
#define BUS_ERROR_AMBIGUOUS_VM BUS_NAME ".AmbiguousVM"
#define BUS_ERROR_NO_SUCH_CLIENT BUS_NAME ".NoSuchClient"
#define BUS_ERROR_SAID_TOO_MUCH BUS_NAME ".SaidTooMuch"
#define BUS_ERROR_ACCESS_DENIED BUS_NAME ".AccessDenied"
#define BUS_ERROR_CLIENT_LIMIT_REACHED BUS_NAME ".ClientLimitReached"
#define BUS_ERROR_VM_CONNECTED BUS_NAME ".VMConnected"

/* Actions of polkit */
#define BUS_POLKIT_MANAGE "org.vspc.manage"
#define BUS_POLKIT_ATTACH "org.vspc.attach"
#define BUS_POLKIT_TAKE_OVER "org.vspc.take-over"

/* Names of other services */
#define BUS_DAEMON "org.freedesktop.DBus"
#define BUS_DAEMON_PATH "/org/freedesktop/DBus"
#define BUS_LOCAL "org.freedesktop.DBus.Local"
#define BUS_LOCAL_PATH "/org/freedesktop/DBus/Local"
#define BUS_INTROSPECTABLE "org.freedesktop.DBus.Introspectable"
#define BUS_OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define BUS_PROPERTIES "org.freedesktop.DBus.Properties"
#define BUS_POLKIT "org.freedesktop.PolicyKit1"
#define BUS_POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define BUS_POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
