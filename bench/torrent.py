"""libtorrent's ends of `npm run bench -- transfer`: loopback only, no discovery, not encrypted.

torrent.py make FILE TORRENT          writes a torrent of FILE with pieces of 1 MiB
torrent.py seed FILE TORRENT          seeds it, prints the port, until its standard input ends
torrent.py fetch FOLDER TORRENT PORT… fetches it into FOLDER and prints {"seconds", "cpuSeconds"} as JSON
"""

import json
import os
import resource
import sys
import time

import libtorrent as lt

SETTINGS = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "out_enc_policy": 2,
    "in_enc_policy": 2,
    # TCP: its own transport over UDP is far slower on loopback.
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    # All seeders have one address here.
    "allow_multiple_connections_per_ip": True,
    "alert_mask": 0,
}


def make(path, torrent):
    files = lt.file_storage()
    lt.add_files(files, path)
    created = lt.create_torrent(files, 1024 * 1024, flags=lt.create_torrent.v1_only)
    lt.set_piece_hashes(created, os.path.dirname(path))
    with open(torrent, "wb") as out:
        out.write(lt.bencode(created.generate()))


def parameters(folder, torrent, seeding):
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = folder
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if seeding:
        params.flags |= lt.torrent_flags.seed_mode
    return params


def seed(path, torrent):
    session = lt.session(SETTINGS)
    session.add_torrent(parameters(os.path.dirname(path), torrent, True))
    while session.listen_port() == 0:
        time.sleep(0.01)
    print(session.listen_port(), flush=True)
    sys.stdin.read()


def fetch(folder, torrent, ports):
    session = lt.session(SETTINGS)
    while session.listen_port() == 0:
        time.sleep(0.01)
    params = parameters(folder, torrent, False)
    begin = time.monotonic()
    handle = session.add_torrent(params)
    for port in ports:
        handle.connect_peer(("127.0.0.1", int(port)))
    while not handle.status().is_seeding:
        time.sleep(0.005)
    seconds = time.monotonic() - begin
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": seconds, "cpuSeconds": used.ru_utime + used.ru_stime}))


what, *rest = sys.argv[1:]
if what == "make":
    make(*rest)
elif what == "seed":
    seed(*rest)
else:
    fetch(rest[0], rest[1], rest[2:])
