# Prints one line: `ahds-proxy` and either `token SECONDS TOKEN` or what is in the way.
# $audience and $tenant are set by lines put before these. Runs in Windows PowerShell 5.1 and later.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
try {
    $module = Get-Module -ListAvailable -Name 'Az.Accounts' | Sort-Object -Property Version -Descending |
        Select-Object -First 1
    if (-not $module) {
        Write-Output 'ahds-proxy no-module'
        exit 0
    }
    # The first with Get-AzAccessToken.
    if ($module.Version -lt '2.2.0') {
        Write-Output 'ahds-proxy old-module'
        exit 0
    }
    Import-Module -ModuleInfo $module
    if (-not (Get-AzContext)) {
        Write-Output 'ahds-proxy signed-out'
        exit 0
    }
    $request = @{ ResourceUrl = $audience }
    if ($tenant) {
        $request.TenantId = $tenant
    }
    # From 2.17 on a secure string can be asked for, from 5.0 on there is nothing else.
    if ((Get-Command -Name 'Get-AzAccessToken').Parameters.ContainsKey('AsSecureString')) {
        $request.AsSecureString = $true
    }
    $answer = Get-AzAccessToken @request
    $token = $answer.Token
    if ($token -is [System.Security.SecureString]) {
        $token = (New-Object -TypeName System.Net.NetworkCredential -ArgumentList '', $token).Password
    }
    Write-Output "ahds-proxy token $($answer.ExpiresOn.ToUnixTimeSeconds()) $token"
}
catch [System.Management.Automation.PSSecurityException] {
    Write-Output 'ahds-proxy policy'
}
catch {
    # With the messages of all exceptions inside.
    $problem = "$_ $($_.Exception)"
    if ($problem -match 'AADSTS(\d+)') {
        Write-Output "ahds-proxy entra $($Matches[1])"
    }
    elseif ($problem -match 'Connect-AzAccount') {
        Write-Output 'ahds-proxy signed-out'
    }
    else {
        throw
    }
}
