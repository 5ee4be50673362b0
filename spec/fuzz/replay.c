/* replay.c - stands in for libFuzzer: runs a fuzz target with files, or with all files of folders. So the
 * inputs that once found something are tried by every ctest, which needs no clang. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned files;

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    long size;
    REQUIRE(file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0);
    rewind(file);
    data = malloc(size ? (size_t)size : 1); /* no larger, so that ASan sees a read behind its end */
    REQUIRE(data != NULL);
    REQUIRE(fread(data, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    files++;
}

static void run_path(const char *path)
{
    struct stat st;
    struct dirent *entry;
    DIR *folder;
    REQUIRE(stat(path, &st) == 0);
    if (!S_ISDIR(st.st_mode)) {
        run_file(path);
        return;
    }
    folder = opendir(path);
    REQUIRE(folder != NULL);
    while ((entry = readdir(folder))) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            run_path(inner);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%u inputs\n", files);
    REQUIRE(files > 0);
    return 0;
}
