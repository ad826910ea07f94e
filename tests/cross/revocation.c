/* Takes the place of Wine's cryptnet.dll where the revocation of a certificate is checked. The test
 * certificates state no place for that, which Windows overlooks as the proxy asks it to
 * (CERT_CHAIN_POLICY_IGNORE_ALL_REV_UNKNOWN_FLAGS), and Wine 8 does not. Wine also overlooks a missing
 * issuer, which must not pass. */
#include <windows.h>
#include <wincrypt.h>

__declspec(dllexport) BOOL WINAPI CertDllVerifyRevocation(DWORD encoding, DWORD type, DWORD count, void **contexts,
                                                          DWORD flags, CERT_REVOCATION_PARA *parameters,
                                                          CERT_REVOCATION_STATUS *status) {
    if (parameters && parameters->pIssuerCert)
        return TRUE;
    status->dwError = CRYPT_E_NO_REVOCATION_CHECK;
    SetLastError(status->dwError);
    return FALSE;
}
