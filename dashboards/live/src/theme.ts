// Runs before the page is drawn, so that a dark room stays dark: what was chosen here before, or what the system prefers.

import { apply } from "./scheme";

apply();
