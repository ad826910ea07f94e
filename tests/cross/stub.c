/* Stands in for a tool that prints tokens. It runs under Windows, and does what its environment says:
 *   STUB_OUTPUT     a file to print
 *   STUB_ARGUMENTS  a file to write the arguments to, one on a line
 *   STUB_HANGS      if set, it starts itself once more, and both never end */
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    const char *output = getenv("STUB_OUTPUT"), *arguments = getenv("STUB_ARGUMENTS");
    if (arguments) {
        FILE *to = fopen(arguments, "wb");
        for (int i = 1; to && i < argc; i++)
            fprintf(to, "%s\n", argv[i]);
        if (to)
            fclose(to);
    }
    if (getenv("STUB_HANGS")) {
        if (argc < 2 || strcmp(argv[1], "child") != 0) {
            char command[MAX_PATH + 16], own[MAX_PATH];
            STARTUPINFOA start = {.cb = sizeof start};
            PROCESS_INFORMATION child;
            GetModuleFileNameA(NULL, own, sizeof own);
            snprintf(command, sizeof command, "\"%s\" child", own);
            CreateProcessA(own, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child);
        }
        Sleep(INFINITE);
    }
    if (output) {
        FILE *from = fopen(output, "rb");
        int byte;
        while (from && (byte = fgetc(from)) != EOF)
            putchar(byte);
    }
    return 0;
}
