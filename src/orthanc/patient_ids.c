#include "orthanc/patient_ids.h"

#include <string.h>

#include "base/ascii.h"

/* ServerToolbox::NormalizeIdentifier in Orthanc. Its index has nothing else of a PatientID, and C-MOVE
 * and C-GET read only the index. A C-FIND also compares the PatientID itself. */
size_t patient_ids_fold(const char *id, size_t size, char *folded)
{
    size_t n = 0, front = 0;
    for (size_t i = 0; i < size; i++) {
        char c = id[i];
        if (c == '%' || c == '_')
            c = ' ';
        if (ascii_is_control(c) || (unsigned char)c > 0x7F)
            continue;
        folded[n++] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    while (n > 0 && folded[n - 1] == ' ')
        n--;
    while (front < n && folded[front] == ' ')
        front++;
    memmove(folded, folded + front, n - front);
    return n - front;
}
