# SPDX-License-Identifier: LGPL-2.1-or-later

"""A network of a test's own, in which this machine has addresses that it can lose. By ioctl(2), not by ip(8): a user who is
not root is that in a namespace, until another program is executed."""

import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCADDRT, SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x890B, 0x8913, 0x8914, 0x8916, 0x891C
IFF_UP, RTF_UP, RTF_HOST = 1, 1, 4


def unshare(flags):
    if ctypes.CDLL(None, use_errno=True).unshare(flags) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def socket_address(address):
    return struct.pack("=H2x4s8x", socket.AF_INET, socket.inet_aton(address))


class Interface:
    """lo, or what gives it another address: lo:1, lo:2 …"""

    def __init__(self, name, address):
        self.name, self.address = name.encode(), address
        self.ioctl(SIOCSIFADDR, struct.pack("16s16s8x", self.name, socket_address(address)))
        if ":" in name:  # else it goes when another one of the same network goes
            self.ioctl(SIOCSIFNETMASK, struct.pack("16s16s8x", self.name, socket_address("255.255.255.255")))
        self.set_up(True)

    def set_up(self, up):
        flags, = struct.unpack_from("H", self.ioctl(SIOCGIFFLAGS, struct.pack("16s16x", self.name)), 16)
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        self.ioctl(SIOCSIFFLAGS, struct.pack("16sH14x", self.name, flags))

    def vanish(self):
        """From now on what is sent to its address is lost, and nobody says so: the machine there has been switched off."""
        self.set_up(False)
        device = ctypes.create_string_buffer(b"lo")
        self.ioctl(SIOCADDRT, struct.pack(  # struct rtentry
            "L16s16s16sHhLPhPLLH", 0, socket_address(self.address), socket_address("0.0.0.0"),
            socket_address("255.255.255.255"), RTF_UP | RTF_HOST, 0, 0, 0, 0, ctypes.addressof(device), 0, 0, 0))

    @staticmethod
    def ioctl(request, argument):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            return fcntl.ioctl(s, request, argument)


def enter_own_network(*addresses):
    """Before any thread is started. Returns the Interface of each of these addresses."""
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0))
    if uid:
        for name, text in ("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as f:
                f.write(text)
    Interface("lo", "127.0.0.1")
    return [Interface(f"lo:{i}", address) for i, address in enumerate(addresses, 1)]
