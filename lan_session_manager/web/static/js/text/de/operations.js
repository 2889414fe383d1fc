/** The words of what the audit log has: what somebody did, in front of what it was done to. */

const OPERATIONS = {
  "POST /admin/login": "Auf der Admin-Seite anmelden",
  "POST /admin/logout": "Von der Admin-Seite abmelden",
  "POST /api/session/{client_ip}/keep": "Sitzung offen halten",
  "POST /api/task/submit": "Aufgabe abschicken",
  "POST /api/task/batch": "Mehrere Aufgaben abschicken",
  "POST /api/tasks/bulk": "Viele Aufgaben ändern",
  "ws submit_task": "Aufgabe abschicken",
  "PATCH /api/task/{task_id}": "Platz in der Schlange ändern:",
  "POST /api/task/{task_id}/cancel": "Abbrechen:",
  "POST /api/task/{task_id}/rerun": "Noch einmal starten:",
  "POST /api/task/{task_id}/complete": "Als fertig melden:",
  "DELETE /api/task/{task_id}": "Löschen:",
  "POST /api/worker/claim": "Aufgaben holen",
  "PUT /api/worker/task/{task_id}/files/{path}": "Datei als Worker schreiben:",
  "POST /api/worker/task/{task_id}/complete": "Als Worker fertig melden:",
  "PUT /api/workspace/{client_ip}/files/{path}": "Datei hochladen:",
  "DELETE /api/workspace/{client_ip}/files/{path}": "Datei löschen:",
  "POST /api/workspace/{client_ip}/files": "Dateien hochladen:",
  "POST /api/workspace/{client_ip}/uploads": "Upload beginnen:",
  "PATCH /api/workspace/{client_ip}/uploads/{upload_id}": "Upload fortsetzen:",
  "DELETE /api/workspace/{client_ip}/uploads/{upload_id}": "Upload aufgeben:",
  "POST /api/workspace/{client_ip}/directory": "Ordner anlegen:",
  "POST /api/workspace/{client_ip}/move": "Dateien verschieben oder umbenennen:",
  "POST /api/workspace/{client_ip}/trash": "Dateien in den Papierkorb legen:",
  "DELETE /api/workspace/{client_ip}/trash": "Papierkorb leeren:",
  "DELETE /api/workspace/{client_ip}/trash/{trash_id}": "Endgültig aus dem Papierkorb entfernen:",
  "POST /api/workspace/{client_ip}/trash/{trash_id}/restore": "Aus dem Papierkorb zurückholen:",
  "WS /ws/dashboard/{client_ip}": "Übersicht öffnen:",
  "POST /api/device": "Gerät bekannt machen",
  "PATCH /api/device": "Gerät benennen",
  "DELETE /api/device": "Gerät vergessen",
  "DELETE /api/device/{device_id}": "Ein Gerät vergessen",
  "POST /api/device/carry": "Sitzung auf ein anderes Gerät mitnehmen",
  "POST /api/device/claim": "Mitgenommene Sitzung öffnen",
  "POST /api/device/leave": "Zur eigenen Sitzung zurückkehren",
  "GET /api/sessions/all": "Alle Sitzungen ansehen",
};

/** Served below two addresses: by token and by cookie. */
const OF_ADMIN = {
  "GET connections": "Alle Verbindungen ansehen",
  "GET session/{client_ip}/limits": "Grenzen ansehen:",
  "PUT session/{client_ip}/limits": "Grenzen ändern:",
  "POST session/{client_ip}/end": "Sitzung beenden:",
  "POST session/{client_ip}/pause": "Sitzung anhalten:",
  "POST session/{client_ip}/resume": "Sitzung fortsetzen:",
  "POST session/{client_ip}/trash": "Sitzung in den Papierkorb legen:",
  "POST session/{client_ip}/restore": "Sitzung zurückholen:",
  "POST session/{client_ip}/purge": "Sitzung endgültig entfernen:",
  "GET session/{client_ip}/archive": "Alle Dateien herunterladen:",
  "POST task/{task_id}/cancel": "Als Betreiber abbrechen:",
  "PUT message": "Nachricht an alle schreiben",
  "DELETE message": "Nachricht an alle zurücknehmen",
  "POST doctor": "Den Doctor prüfen lassen",
};

const VERBS = {
  GET: "Ansehen:",
  HEAD: "Ansehen:",
  POST: "Ändern:",
  PUT: "Schreiben:",
  PATCH: "Ändern:",
  DELETE: "Löschen:",
};

/** @param {string} name an operation that has no words of its own @returns {string} its kind, and its place as it is */
function plainly(name) {
  const [verb, ...rest] = name.split(" ");
  return VERBS[verb] ? `${VERBS[verb]} ${rest.join(" ")}` : name;
}

/** @param {string} name an operation of the audit log @returns {string} it in words */
export function operation(name) {
  return OPERATIONS[name] ?? OF_ADMIN[name.replace(/\/(api\/admin|admin\/api)\//, "")] ?? plainly(name);
}
