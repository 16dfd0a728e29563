{
  "target_defaults": {
    "cflags": ["-O2", "-g", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-fvisibility=hidden"],
    "cflags_cc!": ["-fno-exceptions", "-std=gnu++17"],
    "cflags_cc": ["-std=gnu++20", "-fexceptions"],
    "defines": ["_GNU_SOURCE", "_FILE_OFFSET_BITS=64"]
  },
  "targets": [
    {
      "target_name": "hsm",
      "include_dirs": ["../node_modules/node-addon-api"],
      "defines": ["NAPI_VERSION=10", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "sources": [
        "addon.cc",
        "errors.cc",
        "args.cc",
        "async.cc",
        "xattr.cc",
        "statx.cc",
        "handle.cc",
        "lease.cc",
        "link.cc",
        "fallocate.cc",
        "fdchannel.cc",
        "mount.cc",
        "fanotify.cc",
        "crc32c.cc",
        "walk.cc",
        "walk_batch.cc",
        "traversal.cc",
        "evict.cc",
        "digest.cc",
        "directio.cc",
        "memory.cc",
        "pax.cc",
        "utf8.cc",
        "sha256.cc",
        "sparse.cc",
        "source.cc",
        "container.cc",
        "prepare.cc",
        "wakeup.cc",
        "packer_core.cc",
        "packer.cc",
        "extract.cc",
        "extractor.cc",
        "restore.cc",
        "tape.cc"
      ]
    },
    {
      "target_name": "hsm-keeper",
      "type": "executable",
      "include_dirs!": ["<(node_root_dir)/include/node"],
      "sources": ["keeper/main.cc", "keeper/keeper.cc", "keeper/process.cc", "keeper/succession.cc", "keeper/group.cc", "keeper/pending.cc", "keeper/readers.cc", "keeper/rights.cc", "keeper/worker.cc", "keeper/denier.cc", "keeper/handover.cc", "keeper/holders.cc", "keeper/mounting.cc", "keeper/mounts.cc", "keeper/filesystems.cc", "keeper/notify.cc", "keeper/options.cc", "keeper/table.cc", "keeper/witness.cc"],
      "ldflags": ["-pthread"]
    },
    {
      "target_name": "hsm-access",
      "type": "executable",
      "include_dirs!": ["<(node_root_dir)/include/node"],
      "sources": [
        "access/main.cc",
        "access/reading.cc",
        "access/opening.cc",
        "access/mapping.cc",
        "access/queueing.cc",
        "access/writing.cc",
        "access/cloning.cc"
      ],
      "libraries": ["-ldl"]
    },
    {
      "target_name": "hsm-access-library",
      "type": "loadable_module",
      "include_dirs!": ["<(node_root_dir)/include/node"],
      "sources": ["access/library.cc"]
    },
    {
      "target_name": "hsm-member-rows",
      "type": "loadable_module",
      "include_dirs!": ["<(node_root_dir)/include/node"],
      "include_dirs": ["../node_modules/better-sqlite3/deps/sqlite3"],
      "sources": ["catalogue/member_rows.cc", "utf8.cc"]
    }
  ]
}
