/* Starts a program in a console of its own, and sends it Ctrl-C for each line on stdin:
 * console.exe PROGRAM [ARGUMENT...]. Ends as the program ends. */
#include <windows.h>
#include <stdio.h>
#include <string.h>

static BOOL WINAPI ignore(DWORD event) {
    return TRUE;
}

static DWORD WINAPI forward(void *unused) {
    char line[16];
    while (fgets(line, sizeof line, stdin))
        /* Wine 8 knows no other event, and no group but that of the whole console. */
        GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0);
    return 0;
}

int main(int argc, char **argv) {
    STARTUPINFOA start = {
        .cb = sizeof start,
        .dwFlags = STARTF_USESTDHANDLES,
        .hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE),
        .hStdError = GetStdHandle(STD_ERROR_HANDLE),
    };
    PROCESS_INFORMATION child;
    DWORD code = 3;
    if (argc < 2)
        return 2;
    FreeConsole();
    AllocConsole();
    /* The own name ends at the first space, since its path contains none. */
    char *command = strchr(GetCommandLineA(), ' ') + 1;
    if (!CreateProcessA(NULL, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child))
        return (int)code;
    SetConsoleCtrlHandler(ignore, TRUE);
    CreateThread(NULL, 0, forward, NULL, 0, NULL);
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    return (int)code;
}
