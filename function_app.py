"""The function app: one blueprint for each folder, nothing else."""

import azure.functions as func

from CacheAccount.triggers import cache_account_blueprint
from CheckHealth.triggers import check_health_blueprint
from DeleteActivity.triggers import delete_activity_blueprint
from ReceiveActivity.triggers import receive_activity_blueprint
from ReceiveEvent.triggers import receive_event_blueprint
from SendActivity.triggers import send_activity_blueprint
from SendAlert.triggers import send_alert_blueprint
from StartConversation.triggers import start_conversation_blueprint
from TrackDelivery.triggers import track_delivery_blueprint
from UpdateActivity.triggers import update_activity_blueprint

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(start_conversation_blueprint)
app.register_functions(send_activity_blueprint)
app.register_functions(send_alert_blueprint)
app.register_functions(update_activity_blueprint)
app.register_functions(delete_activity_blueprint)
app.register_functions(receive_activity_blueprint)
app.register_functions(receive_event_blueprint)
app.register_functions(cache_account_blueprint)
app.register_functions(track_delivery_blueprint)
app.register_functions(check_health_blueprint)
