/* Takes the place of Wine's cryptnet.dll where the revocation of a certificate is checked. The test
 * certificates state no place for that, which Windows overlooks as the proxy asks it to
 * (CERT_CHAIN_POLICY_IGNORE_ALL_REV_UNKNOWN_FLAGS), and Wine 8 does not. */
#include <windows.h>

__declspec(dllexport) BOOL WINAPI CertDllVerifyRevocation(DWORD encoding, DWORD type, DWORD count, void **contexts,
                                                          DWORD flags, void *parameters, void *status) {
    return TRUE;
}
