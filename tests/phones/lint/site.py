"""A sound site: upgrade scripts, firmware and a settings file as a company with many kinds of phones has "
"it."""

from __future__ import annotations

from mv_iptel.phones.lint import Site

SETTINGS = """\
############################################################
##   Example Ltd: settings of all telephones
############################################################
## Change nothing without telling the telephone team!   (Büro 12)

##########  For every telephone  ##########
SET DNSSRVR 192.0.2.53,192.0.2.54
SET DOMAIN example.com
SET L2Q 0
SET L2QVLAN 20
SET VLANTEST 60
SET PHY2VLAN 30
SET SNMPADD 192.0.2.5
SET SNMPSTRING lookbutdonottouch
SET PHNCC 49
SET PHNDPLENGTH 4
SET PHNIC 00
SET PHNLD 0
SET PHNOL 9
SET SNTPSRVR 192.0.2.123
## SET PROCSTAT 1

##########  By product line  ##########
# PRODUCT_LINE_SETTINGS
IF $SIG_IN_USE SEQ SIP GOTO SETTINGSSIP
IF $MODEL4 SEQ 1603 GOTO SETTINGS16XX
IF $MODEL4 SEQ 1608 GOTO SETTINGS16XX
IF $MODEL4 SEQ 1616 GOTO SETTINGS16XX
IF $MODEL4 SEQ 9620 GOTO SETTINGS96X0
IF $MODEL4 SEQ 9630 GOTO SETTINGS96X0
IF $MODEL4 SEQ 9640 GOTO SETTINGS96X0
IF $MODEL4 SEQ 9608 GOTO SETTINGS96X1
IF $MODEL4 SEQ 9611 GOTO SETTINGS96X1
IF $MODEL4 SEQ 9641 GOTO SETTINGS96X1
GOTO SETTINGS46XX

# SETTINGS46XX
SET MCIPADD 192.0.2.10,192.0.2.11
SET FTPSRVR 192.0.2.5
GOTO PER_MODEL_SETTINGS

# SETTINGS16XX
SET MCIPADD 192.0.2.10,192.0.2.11
SET BRURI http://192.0.2.5:81/
SET LANG1FILE mlf_example_german.txt
GOTO PER_MODEL_SETTINGS

# SETTINGS96X0
SET MCIPADD 192.0.2.10,192.0.2.11
SET BRURI "https://192.0.2.5:411/"
SET TRUSTCERTS mv_ca.txt
SET SCREENSAVERON 240
GOTO PER_MODEL_SETTINGS

# SETTINGS96X1
SET MCIPADD 192.0.2.10,192.0.2.11
SET BRURI https://192.0.2.5:411/
SET TRUSTCERTS mv_ca.txt
SET UNNAMEDSTAT 0
GOTO PER_MODEL_SETTINGS

# SETTINGSSIP
SET SIPDOMAIN example.com
SET SIP_CONTROLLER_LIST 192.0.2.20:5061;transport=tls,192.0.2.21:5061;transport=tls
SET TRUSTCERTS mv_ca.txt
SET GMTOFFSET +1:00
SET DSTOFFSET 1
SET DSTSTART LSunMar2L
SET DSTSTOP LSunOct3L
SET MYCERTCN "Telephone $MACADDR of Example Ltd"
GOTO PER_MODEL_SETTINGS

##########  By model  ##########
# PER_MODEL_SETTINGS
IF $MODEL4 SEQ 9640 GOTO SETTINGS9640
IF $MODEL4 SEQ J179 GOTO SETTINGSJ179
GOTO GROUP_SETTINGS

# SETTINGS9640
SET WMLHOME http://192.0.2.80/home.wml
GOTO GROUP_SETTINGS

# SETTINGSJ179
SET PHNNUMOFSA 3
GOTO GROUP_SETTINGS

##########  By group  ##########
# GROUP_SETTINGS
IF $GROUP SEQ 1 GOTO GROUP_1
IF $GROUP SEQ 2 GOTO GROUP_2
GOTO END

# GROUP_1
## the lobby
SET PROCSTAT 1
GOTO END

# GROUP_2
## the call centre
SET AGCHEAD 0
SET PHNEMERGNUM 112
GOTO END

# END
"""

UPGRADE_96X1 = """\
## 96x1 with H.323
IF $SIG_IN_USE SEQ SIP GOTO FILES
IF $MODEL4 SEQ 9641 GOTO TOUCH
SET RFSNAME S96x1_example_V22.tar
SET APPNAME S9608_11_example_6_8_5.tar
GOTO FILES
# TOUCH
SET RFSNAME S96x1_example_V22.tar
SET APPNAME S9621_41_example_6_8_5.tar
GOTO FILES
# FILES
GET 46xxsettings.scr
GET 46xxsettings.txt
"""

# The spelling of shipped scripts: small letters, runs of blanks, blanks at the ends of lines.
UPGRADE_96XX = """\
if $SIG  SEQ 2  goto SIPSOFTWARE
IF $BOOTNAME SEQ hb96xx_example.bin goto APPLICATION
SET APPNAME hb96xx_example.bin  \n\
goto GETSET
# APPLICATION  \n\
SET\tAPPNAME 96xx_example.bin
goto GETSET
# SIPSOFTWARE
SET APPNAME SIP96xx_example.bin
goto GETSET
# GETSET
GET 46xxsettings.txt
"""

UPGRADE_46XX = """\
## VPN telephones first
IF $GROUP SEQ 876 goto VPN
goto UPGRADE
# VPN
GET 46xxvpn.scr
goto END
# UPGRADE
SET APPNAME 4620_example.app
GET 46xxsettings.txt
# END
"""

VPN = """\
SET NVVPNMODE 1
SET NVVPNCFGPROF 6
SET NVVPNAUTHTYPE 3
SET NVIKEIDTYPE 3
SET NVSGIP 192.0.2.200
SET FTPSRVR 192.0.2.5
GET 46xxsettings.txt
"""

OTHERS = frozenset(
    [
        "S96x1_example_V22.tar",
        "S9608_11_example_6_8_5.tar",
        "S9621_41_example_6_8_5.tar",
        "hb96xx_example.bin",
        "96xx_example.bin",
        "SIP96xx_example.bin",
        "4620_example.app",
        "mv_ca.txt",
        "mlf_example_german.txt",
    ]
)

SERVER = Site(addresses=frozenset({"192.0.2.5"}))


def scripts() -> dict[str, str]:
    """Every file with text; each call gives new ones."""
    return {
        "46xxsettings.txt": SETTINGS,
        "96x1Hupgrade.txt": UPGRADE_96X1,
        "96xxupgrade.txt": UPGRADE_96XX,
        "46xxupgrade.scr": UPGRADE_46XX,
        "46xxvpn.scr": VPN,
    }
