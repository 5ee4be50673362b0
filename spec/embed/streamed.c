/* streamed.c - a viewer without a disk: a DICOM file goes to a real Orthanc and comes back through streams of the
 * host, and each byte is compared. The arguments are the URL of an empty Orthanc, which has itself as the modality
 * "self", and the name of a DICOM file. */
#define _POSIX_C_SOURCE 200809L

#include "runs.h"

enum {
    PIXELS = 1000000
}; /* the file ends with so many bytes that C-STORE does not change, at the least */

typedef struct image {
    char *data;
    size_t size, room;
    int ends, complete;
} image;

static int image_write(void *object, const void *data, size_t size)
{
    image *i = object;
    if (i->size + size > i->room) {
        i->room = 2 * (i->size + size);
        i->data = realloc(i->data, i->room);
        CHECK(i->data);
    }
    memcpy(i->data + i->size, data, size);
    i->size += size;
    return 0;
}

static void image_end(void *object, int complete)
{
    image *i = object;
    i->ends++;
    i->complete = complete;
}

static long image_size(void *object)
{
    return (long)((const image *)object)->size;
}

static long image_read(void *object, void *into, size_t size, long offset)
{
    const image *i = object;
    size_t left = i->size - (size_t)offset;
    size = left < size ? left : size;
    memcpy(into, i->data + offset, size);
    return (long)size;
}

static const modalua_stream_class image_class = { { sizeof image_class, "viewer.Image", NULL,
                                                    NULL },
                                                  image_write,
                                                  image_end,
                                                  image_size,
                                                  image_read };

static void load(image *i, const char *path)
{
    char piece[65536];
    size_t n;
    FILE *f = fopen(path, "rb");
    CHECK(f);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        image_write(i, piece, n);
    CHECK(!ferror(f) && fclose(f) == 0 && i->size > PIXELS);
}

/* Runs the code, which uses the image as the global `name` once. */
static void use(modalua_runtime *rt, const char *name, image *i, const char *code)
{
    i->ends = 0;
    CHECK(modalua_set_object(rt, name, &image_class.base, i) == MODALUA_OK);
    pass(rt, code);
    CHECK(i->ends == 1 && i->complete == 1);
}

/* Downloads it, and compares the last `count` bytes. */
static void check_same(modalua_runtime *rt, const image *sent, const char *code, size_t count)
{
    image got = { .data = NULL };
    use(rt, "sink", &got, code);
    CHECK(got.size >= count);
    CHECK(memcmp(got.data + got.size - count, sent->data + sent->size - count, count) == 0);
    CHECK(count < sent->size || got.size == sent->size);
    free(got.data);
}

static void round_trip(const char *url, const image *file, unsigned flags)
{
    static const char download[] = "client:download(('/instances/%s/file'):format(id), sink)";
    image sent = *file, archive = { .data = NULL };
    modalua_config config = watched();
    modalua_runtime *rt;
    config.url = url;
    config.flags = flags;
    rt = make(&config);
    pass(rt, "client = require 'modalua'.connect()\n"
             "function empty()\n"
             "  assert(client:delete('/instances/' .. id))\n"
             "  assert(#client:get '/instances' == 0)\n"
             "end");
    use(rt, "source", &sent, "id = assert(client:upload(source)).ID");
    check_same(rt, &sent, download, sent.size);
    use(rt, "sink", &archive,
        "local study = client:get('/studies')[1]\n"
        "assert(client:download(('/studies/%s/archive'):format(study), sink))");
    pass(rt, "empty()");
    use(rt, "source", &archive, "assert(client:upload(source)[1].ID == id)");
    check_same(rt, &sent, download, sent.size);
    pass(rt, "empty()");
    use(rt, "source", &sent, "assert(client:modality 'self':store_straight(source))");
    check_same(rt, &sent, download, PIXELS);
    pass(rt, "empty()");
    modalua_destroy(rt);
    free(archive.data);
}

int main(int argc, char **argv)
{
    image file = { .data = NULL };
    CHECK(argc == 3);
    load(&file, argv[2]);
    round_trip(argv[1], &file, 0);
    round_trip(argv[1], &file, MODALUA_SANDBOX);
    free(file.data);
    return 0;
}
