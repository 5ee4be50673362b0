/* orthanc_plugin/parts.h - the Lua files and the page of this folder, as texts in the plugin (packaging/plugin.cmake). */
#ifndef ORTHANC_PLUGIN_PARTS_H
#define ORTHANC_PLUGIN_PARTS_H

#include <stddef.h>

extern const char part_settings[], part_host[], part_schedule[], part_page[];
extern const size_t part_settings_size, part_host_size, part_schedule_size, part_page_size;

#endif
