/* Removes a database with the files that SQLite keeps beside it, which stay after a failed test. */
#ifndef RS_REMOVE_DATABASE_H
#define RS_REMOVE_DATABASE_H

#include <stdio.h>
#include <unistd.h>

static inline void remove_database(const char *path) {
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; ++i) {
        char name[512];
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

#endif
