<#
.SYNOPSIS
Installs mv-iptel: environment, home, services, firewall. Run again to upgrade; the home is kept.
.PARAMETER Place
Where the programs go.
.PARAMETER HomeDir
Where configuration and data live. It is never removed.
.PARAMETER Python
python.exe of a 64-bit Python 3.11 that is installed for all users. Default: what the launcher py finds.
.PARAMETER NoFirewall
Make no rules of the firewall.
.PARAMETER NoStart
Do not start the services now.
.PARAMETER Remove
Remove services, rules and programs. The home stays.
#>
#Requires -Version 5.1
#Requires -RunAsAdministrator
[CmdletBinding()]
param(
    [string] $Place = (Join-Path $env:ProgramFiles 'mv-iptel'),
    [string] $HomeDir = (Join-Path $env:ProgramData 'mv-iptel'),
    [string] $Python = '',
    [switch] $NoFirewall,
    [switch] $NoStart,
    [switch] $Remove
)

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$Scripts = Join-Path $Place 'Scripts'
# The watchdog first: it would start again what is being stopped.
$Services = 'mv-watchdog', 'mv-manager', 'mv-iptel'
$Group = 'mv-iptel'

# A program that fails throws nothing by itself.
function Invoke-Program([string] $Program, [string[]] $Arguments) {
    & $Program @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Program $Arguments ended with $LASTEXITCODE" }
}

function Find-Python {
    if ($Python) { return $Python }
    if (-not (Get-Command py -ErrorAction SilentlyContinue)) {
        throw 'There is no Python launcher. Install 64-bit Python 3.11 from python.org for all users, or name one with -Python.'
    }
    $found = & py -3.11 -c 'import sys; print(sys.executable)'
    if ($LASTEXITCODE -ne 0) { throw 'There is no Python 3.11. Install it from python.org for all users.' }
    return $found
}

function Stop-All {
    foreach ($name in $Services) {
        if (Get-Service -Name $name -ErrorAction SilentlyContinue) { Stop-Service -Name $name -Force }
    }
}

# The machine's own PATH, as it is written: what stands in % must not be lost.
function Set-MachinePath([switch] $Without) {
    $key = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey(
        'SYSTEM\CurrentControlSet\Control\Session Manager\Environment', $true)
    try {
        $value = [string] $key.GetValue('Path', '', 'DoNotExpandEnvironmentNames')
        $parts = @($value.Split(';') | Where-Object { $_ -and $_ -ne $Scripts })
        if (-not $Without) { $parts += $Scripts }
        $key.SetValue('Path', ($parts -join ';'), 'ExpandString')
    } finally {
        $key.Close()
    }
}

if ($Remove) {
    Stop-All
    $command = Join-Path $Scripts 'mv-iptel.exe'
    if (Test-Path $command) { Invoke-Program $command @('service', 'remove', '--home', $HomeDir) }
    Get-NetFirewallRule -Group $Group -ErrorAction SilentlyContinue | Remove-NetFirewallRule
    Set-MachinePath -Without
    if (Test-Path $Place) { Remove-Item -Recurse -Force $Place }
    Write-Host "mv-iptel is removed; $HomeDir stays."
    exit 0
}

$Python = Find-Python
$facts = & $Python -c 'import struct, sys; print(sys.version_info[:2] == (3, 11) and struct.calcsize("P") == 8); print(sys.base_prefix)'
if ($LASTEXITCODE -ne 0 -or $facts[0] -ne 'True') { throw "$Python is not a 64-bit Python 3.11." }
$Base = $facts[1]
if ($Base.StartsWith($env:USERPROFILE, [StringComparison]::OrdinalIgnoreCase)) {
    throw "$Base belongs to one user, and services cannot read it. Install Python 3.11 for all users."
}

Stop-All
if (-not (Test-Path (Join-Path $Scripts 'python.exe'))) { Invoke-Program $Python @('-m', 'venv', $Place) }
Invoke-Program (Join-Path $Scripts 'python.exe') @(
    '-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '--no-index',
    '--find-links', (Join-Path $PSScriptRoot 'wheels'), '--upgrade', 'mv-iptel==@VERSION@', 'pywin32')
# The program that Windows starts for a service needs its libraries beside it: no PATH leads it to them.
$Library = Join-Path $Place 'Lib\site-packages'
Copy-Item -Force (Join-Path $Library 'win32\pythonservice.exe') $Place
Copy-Item -Force (Join-Path $Library 'pywin32_system32\*.dll') $Place
Copy-Item -Force (Join-Path $Base 'python3*.dll'), (Join-Path $Base 'vcruntime140*.dll') $Place

$arguments = @('service', 'install', '--home', $HomeDir)
if ($NoStart) { $arguments += '--no-start' }
Invoke-Program (Join-Path $Scripts 'mv-iptel.exe') $arguments

Get-NetFirewallRule -Group $Group -ErrorAction SilentlyContinue | Remove-NetFirewallRule
if (-not $NoFirewall) {
    # Other ports of MV_IPTel.ini, and FTPPassivePorts, need rules of your own.
    New-NetFirewallRule -Group $Group -DisplayName 'mv-iptel: TFTP of phones' -Direction Inbound -Action Allow `
        -Protocol UDP -LocalPort 69 | Out-Null
    New-NetFirewallRule -Group $Group -DisplayName 'mv-iptel: FTP, HTTP and HTTPS of phones' -Direction Inbound `
        -Action Allow -Protocol TCP -LocalPort 20, 21, 80, 81, 411, 443, 889, 990 | Out-Null
}
Set-MachinePath

Write-Host "mv-iptel @VERSION@ is installed in $Place, its home is $HomeDir."
Write-Host "The first passwords: $(Join-Path $HomeDir 'initial-passwords.txt')"
