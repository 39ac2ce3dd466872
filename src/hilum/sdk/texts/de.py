"""German."""

from __future__ import annotations

FAULTS: dict[str, tuple[str, str]] = {
    "dns": (
        "Der Name des Rechners hat keine Adresse.",
        "Prüfen Sie die Schreibweise und den Namensserver, den diese Maschine fragt.",
    ),
    "refused": (
        "Unter dieser Adresse antwortet niemand.",
        "Prüfen Sie Rechner und Port, ob der Partner läuft, und die Firewalls.",
    ),
    "timeout": (
        "Der Partner hat nicht rechtzeitig geantwortet.",
        "Fragen Sie, ob er überlastet ist; sonst geben Sie ihm mehr Zeit (timeout).",
    ),
    "tls_untrusted": (
        "Dem Zertifikat des Partners vertrauen wir nicht.",
        "Fügen Sie seine Zertifizierungsstelle hinzu oder berichtigen Sie den Namen.",
    ),
    "tls_expired": (
        "Das Zertifikat des Partners ist abgelaufen.",
        "Der Partner muss es erneuern; prüfen Sie auch die Uhr dieser Maschine.",
    ),
    "host_key": (
        "Der Server hat einen SSH-Schlüssel gezeigt, dem wir nicht vertrauen.",
        "Fragen Sie den Partner, ob dies sein Fingerabdruck ist; dann tragen Sie ihn als host_key ein.",
    ),
    "auth": (
        "Der Partner erkennt uns nicht.",
        "Prüfen Sie die Zugangsdaten und ob sie geändert wurden oder abgelaufen sind.",
    ),
    "consent": (
        "Zurzeit willigt niemand in diese Verbindung ein.",
        "Erteilen Sie die Einwilligung: POST /api/v1/integrations/{id}/authorize.",
    ),
    "forbidden": (
        "Der Partner kennt uns, erlaubt uns dies aber nicht.",
        "Bitten Sie um das fehlende Recht.",
    ),
    "not_found": (
        "Unter diesem Pfad hat der Partner nichts.",
        "Prüfen Sie die URL, ihre Version und die Kennungen darin.",
    ),
    "rate_limited": (
        "Wir fragen zu oft.",
        "Senken Sie die Rate dieses Endpunkts (rate_limit) oder bitten Sie den Partner um eine höhere.",
    ),
    "http_5xx": (
        "Der Partner hat selbst einen Fehler.",
        "Versuchen Sie es später noch einmal, und sagen Sie es dem Partner, wenn es so bleibt.",
    ),
    "protocol": (
        "Die Antwort entspricht nicht dem Protokoll.",
        "Prüfen Sie, ob URL und Protokoll zusammengehören.",
    ),
    "blocked_by_policy": (
        "Dorthin darf sich dieser Hub nicht verbinden.",
        "Wer ihn betreibt, kann die Adresse freigeben, wenn sie so gemeint ist.",
    ),
    "configuration": (
        "Auf unserer Seite fehlt etwas oder passt nicht.",
        "Berichtigen Sie den Endpunkt oder seine Zugangsdaten.",
    ),
    "too_large": (
        "Die Antwort ist größer als das, was von einer aufbewahrt wird.",
        "Fragen Sie weniger auf einmal ab oder erhöhen Sie max_answer des Endpunkts.",
    ),
    "interrupted": (
        "Der Hub wurde angehalten, während er fragte.",
        "Klären Sie mit dem Partner, ob er dies angenommen hat, bevor Sie noch einmal fragen.",
    ),
    "cancelled": (
        "Jemand hat es abgebrochen.",
        "Klären Sie mit dem Partner, ob er dies angenommen hat, bevor Sie noch einmal fragen.",
    ),
}
