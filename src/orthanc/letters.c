#include "orthanc/letters.h"

char letters_base(uint32_t code)
{
    static const char latin[] = "aaaaaaaceeeeiiiidnoooooxouuuuytsaaaaaaaceeeeiiiidnooooo-ouuuuyty"
                                "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll"
                                "lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
    static const char more[] = "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
                               "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
                               "wwwwwwwwwwxxxxyyzzzzzzhtwy----s-aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
                               "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy------";
    char letter = '-';
    if (code >= 0x00C0 && code <= 0x017F)
        letter = latin[code - 0x00C0];
    else if (code >= 0x1E00 && code <= 0x1EFF)
        letter = more[code - 0x1E00];
    return letter == '-' ? '\0' : letter;
}
