/* The version that /info and `swiftlet version` show. */
#ifndef TOOLS_VERSION_H
#define TOOLS_VERSION_H

#define SWIFTLET_VERSION "0.1.0"

#endif
