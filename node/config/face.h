/* face.h - what a key is known by where it must not be seen: its face, "sk-ant-...ab12 #1a2b3c4d",
 * and, for one that nobody gave a name, the name "key-1a2b3c4d". Both follow from the key alone, so
 * that whatever stands under them never goes over to another key. */
#pragma once

struct config_reader;
struct subscription;

void config_make_face(struct subscription *s);
/* All subscriptions, which have keys and base URLs by now; of two that are the same one goes, and
 * it is said. */
void config_name_by_key(struct config_reader *r);
